package config

import _ "embed"

//go:embed config.schema.json
var schema string

// Schema returns the JSON Schema (draft 2020-12) of a configuration. It is for
// editors: it knows every key and its shape, and says nothing of what keys mean
// to each other; Parse does.
func Schema() string { return schema }
