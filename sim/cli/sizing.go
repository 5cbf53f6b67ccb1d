package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// tierSizing is the value of --sizing for a DPE that shall have the tier's.
const tierSizing = "tier"

// sizingFlag adds --sizing to cmd.
func sizingFlag(cmd *cobra.Command, sizing *[]string) {
	cmd.Flags().StringSliceVar(sizing, "sizing", nil,
		"exceptional sizing of each replica, if the contract allows it: "+strings.Join(figureNames(), ", ")+" as NAME=QUANTITY; what is left out, or just \""+tierSizing+"\", is the tier's")
}

func figureNames() []string {
	return []string{"cpu-request", "cpu-limit", "memory-request", "memory-limit", "disk"}
}

// toSizing reads the values of --sizing. Quantities are the portal's to judge.
func toSizing(values []string) (sim.Sizing, error) {
	var out sim.Sizing
	if slices.Equal(values, []string{tierSizing}) {
		return out, nil
	}
	figures := []*string{&out.CPURequest, &out.CPULimit, &out.MemoryRequest, &out.MemoryLimit, &out.Disk}
	for _, v := range values {
		name, quantity, _ := strings.Cut(v, "=")
		i := slices.Index(figureNames(), name)
		switch {
		case i < 0 || quantity == "":
			return out, usage(sim.Errorf(sim.Invalid, "--sizing cannot have %q", v).
				WithHelp("give %s as NAME=QUANTITY, for example cpu-limit=4,memory-limit=8Gi; or %q", strings.Join(figureNames(), ", "), tierSizing))
		case *figures[i] != "":
			return out, usage(sim.Errorf(sim.Invalid, "--sizing has %s twice", name).WithHelp("give it once"))
		}
		*figures[i] = quantity
	}
	return out, nil
}

// sizingWords tells what each replica of d needs.
func sizingWords(d api.DPE) string {
	s := d.Sizing
	words := fmt.Sprintf("CPU %s to %s, RAM %s to %s, disk %s", s.CPURequest, s.CPULimit, s.MemoryRequest, s.MemoryLimit, s.Disk)
	if d.ExceptionalSizing != (sim.Sizing{}) {
		words += " (exceptional)"
	}
	return words
}
