"""Training on tokens further ahead than the next: who predicts them, and what that counts. No exported model has it."""
