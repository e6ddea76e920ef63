"""A harness that wrecks runs: faults at single operations on the disk, simulated power loss, and the suites made of them."""
