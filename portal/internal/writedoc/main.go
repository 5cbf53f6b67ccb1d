// Command writedoc writes the document of the portal's API: OpenAPI to the file that is its first argument, and the same for
// readers, as Markdown, to the second.
package main

import (
	"fmt"
	"os"

	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/openapi"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "writedoc:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("got %d arguments, want the JSON file and the Markdown file", len(args))
	}
	document, err := portal.OpenAPI()
	if err != nil {
		return err
	}
	text, err := openapi.Markdown(document)
	if err != nil {
		return err
	}
	for i, b := range [][]byte{document, text} {
		if err := os.WriteFile(args[i], b, 0o644); err != nil { //nolint:gosec // for everybody to read
			return err
		}
	}
	return nil
}
