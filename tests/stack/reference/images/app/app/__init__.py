"""An application with items, reports, background tasks and code reviews by a language model."""
