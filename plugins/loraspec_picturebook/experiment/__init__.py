"""The sweet-spot experiment: real LoRAs on the embedded base, judged against styles whose true pictures are known."""
