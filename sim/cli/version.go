package cli

import (
	"runtime"
	"runtime/debug"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/sim"
)

// version is what `version` prints.
type version struct {
	Version  string        `json:"version"` // module version, or "devel"
	Revision string        `json:"revision,omitempty"`
	Go       string        `json:"go"`
	Platform string        `json:"platform"`
	Releases []sim.Release `json:"releases"` // platform releases in the catalogue
}

// about tells of the program that runs.
func about() version {
	v := version{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Releases: chart.Releases()}
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" && info.Main.Version != "(devel)" {
			v.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	return v
}

func newVersionCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version of dpesim and the platform releases it knows", Args: noArgs}
	output := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		v := about()
		return output.print(a.Stdout, v, func(w *tabwriter.Writer) {
			row(w, "dpesim", v.Version)
			row(w, "revision", v.Revision)
			row(w, "go", v.Go)
			row(w, "platform", v.Platform)
			row(w, "platform releases", v.Releases)
		})
	}
	return cmd
}
