"""The GraphQL contract: types, inputs, payloads, errors. One file per noun, no logic but formatting."""
