package portal

//go:generate go run ./internal/writedoc ../docs/openapi.json ../docs/api.md
