"""CaT inside the stacks people already have: one small module an ecosystem.

Each module imports its framework, and nothing else in catagent does: `import catagent.integrations.litellm`,
`catagent.integrations.trl`, and so on, each with an extra of the same name. `docs/integrations.md` lists them
with the versions they are tested with.
"""
