"""Floor 4: what HTML pages share: templates, charts, contact sheets, number formats."""
