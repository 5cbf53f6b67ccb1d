package portal

//go:generate go run ./internal/fieldwords fieldwords.go api ../sim ../sim/residue ../sim/why
//go:generate go run ./internal/writedoc ../docs/openapi.json ../docs/api.md
