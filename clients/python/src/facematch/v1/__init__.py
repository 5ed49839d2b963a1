"""The contract: generated messages and stubs of facematch.v1."""
