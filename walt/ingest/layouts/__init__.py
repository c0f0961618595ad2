"""Which kind of source a folder is, by what lies in it; each function looks at little and writes nothing."""
