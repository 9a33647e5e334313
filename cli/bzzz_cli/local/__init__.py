"""`bzzz local`: a whole hive as processes of this machine, from the very manifest that Kubernetes takes.

Architecture §13. Nothing here replaces a component by an imitation: what is started are the same programs with the
same configuration files that run in the cluster.
"""
