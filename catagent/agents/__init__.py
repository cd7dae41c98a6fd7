"""The agents: one role, one prompt, one model each; messages in, messages out."""
