"""Foreign weights to ours: functions from a state dict to a state dict; no file is read here."""
