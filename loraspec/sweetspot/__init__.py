"""The sweet spot: what metrics measured becomes a ranking of epochs, with its reasons; numpy only, no torch, no files of a run."""
