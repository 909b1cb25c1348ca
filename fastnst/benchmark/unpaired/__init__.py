"""CycleGAN (Zhu, Park, Isola & Efros 2017, arXiv 1703.10593), written from the paper, for comparison."""
