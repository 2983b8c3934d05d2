"""The part of a consumer that does not wait, for both halves of the API; frames."""
