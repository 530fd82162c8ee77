"""Floor 2: typed memoryviews, blocks, threads, signals. Next hop: ../kernels/README.md."""
