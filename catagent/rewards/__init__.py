"""Rewards: from a reference, or a rubric and its verdicts, to one number a rollout.

A reward that cannot be known is `None`, never 0: training then leaves the rollout out.
"""
