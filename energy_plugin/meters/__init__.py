"""Direct meters and estimators; each one records traces."""
