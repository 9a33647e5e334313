"""Working on a claimed issue: chairing its discussion, executing, reporting (architecture §6 to §9)."""
