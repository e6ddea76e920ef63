"""The caption experiment: does it matter how pictures are described? LoRAs on the embedded base that differ in their captions only."""
