"""Recognises how people keep their videos and captions, so that ``walt init`` can describe any folder."""
