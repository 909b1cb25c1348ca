# Two commands: `make train` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV ?= .venv
# uv takes half the time; where it cannot (packages that only pip is told where to find), pip does it.
define install
	{ $(VENV)/bin/python -m pip install --quiet uv && \
		$(VENV)/bin/uv pip install --quiet --compile-bytecode --python $(VENV)/bin/python --editable '$(1)'; } || \
		$(VENV)/bin/python -m pip install --quiet --editable '$(1)'
endef
RUN := outputs/mosaic/$(shell date +%Y-%m-%d_%H-%M-%S)

.PHONY: train test lint

train: $(VENV)/installed
	$(VENV)/bin/python scripts/train.py style=mosaic experiment=quick output_dir=$(RUN)
	$(VENV)/bin/python scripts/stylize.py --model $(RUN)/model.ckpt --input samples --output $(RUN)/stylized \
		--sheet $(RUN)/before_after.png

# Its many processes read compiled files, also where the environment keeps Python from leaving any.
test: $(VENV)/installed-dev
	PYTHONDONTWRITEBYTECODE= $(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal

lint: $(VENV)/installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "error: Python 3.10 or newer is needed; $$($(PYTHON) --version) was found. Try: make PYTHON=python3.12 train"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing fastnst into $(VENV) (some minutes: PyTorch is large) ..."
	$(call install,.)
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/bin/python
	@echo "Installing fastnst and its development tools into $(VENV) (some minutes: PyTorch is large) ..."
	$(call install,.[dev])
	@touch $@ $(VENV)/installed
