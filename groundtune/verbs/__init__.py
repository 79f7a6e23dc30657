"""The verbs as functions: each opens a workspace, calls the rooms and returns plain values. They decide nothing."""
