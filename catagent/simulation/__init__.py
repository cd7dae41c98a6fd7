"""Policies, syntheses and votes on paper: what to expect of a method before a model is asked.

A policy is known here by its accuracy on each question, by how much its rollouts resemble each other and by
how its wrong answers are spread; an anchor by how often it is right given how many of its rollouts are. From
these follow the curves over G that no small model can show, and the conditions under which synthesis can beat
a vote at all. Nothing here asks a model.
"""
