# docker build -t fastnst . && docker run --rm -v "$PWD:/pictures" fastnst stylize photo.jpg --model mosaic
# With an NVIDIA GPU and its container toolkit, the same image: docker run --rm --gpus all --shm-size 8g -v ... fastnst ...
FROM python:3.12-slim
COPY . /fastnst
RUN pip install --no-cache-dir /fastnst
WORKDIR /pictures
ENV FASTNST_HOME=/pictures/.fastnst
ENTRYPOINT ["fastnst"]
CMD ["--help"]
