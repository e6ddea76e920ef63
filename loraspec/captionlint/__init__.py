"""What is odd about captions, by the guide's measure: coded rules, each of which a spec may leave out. No torch."""
