"""OpenMoji's drawings as a data set for loraspec."""
