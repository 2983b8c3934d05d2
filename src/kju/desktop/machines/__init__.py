"""Machines of this computer and of others, as the app shows them: state, words, queues."""
