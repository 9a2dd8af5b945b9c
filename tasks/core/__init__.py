"""What every stage shares: errors, params, seeds, digests, the account, the manifest and the stage driver."""
