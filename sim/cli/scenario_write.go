package cli

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim"
)

func newScenarioFmtCommand(a *app) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "fmt FILE...", Short: "Format the shell of scenarios, in place",
		Long:    "Format the shell in the fences of scenarios, in place, and print the names of the files that changed. Prose is left as it is.",
		Example: "  dpesim scenario fmt mine.md\n  dpesim scenario fmt --check scenarios/*.md",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(fmt.Errorf("no file to format: see '%s --help'", cmd.CommandPath()))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; exit with 3 if a file is not formatted")
	cmd.RunE = func(_ *cobra.Command, files []string) error {
		changed := 0
		for _, file := range files {
			path := a.path(file)
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			out, err := engine.Format(file, src)
			if err != nil {
				return &exitError{code: exitParse, err: err}
			}
			if bytes.Equal(src, out) {
				continue
			}
			changed++
			fmt.Fprintln(a.Stdout, file)
			if check {
				continue
			}
			if err := replaceFile(path, out); err != nil {
				return fmt.Errorf("formatting %s: %w", file, err)
			}
		}
		if check && changed > 0 {
			return &exitError{code: exitParse, err: sim.Errorf(sim.Invalid, "%d of %d files are not formatted", changed, len(files)).WithHelp("run 'dpesim scenario fmt' on them")}
		}
		return nil
	}
	return cmd
}

// replaceFile puts text in the place of a file in one step, so that a crash leaves the old or the new one.
func replaceFile(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// newScenario is what `scenario new` writes; %s is the title.
//
//go:embed new-scenario.md
var newScenario string

func newScenarioNewCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "new FILE", Short: "Write a scenario to begin with: it runs, and says what to change", Args: exactArgs(1),
		Example: "  dpesim scenario new mine.md\n  dpesim scenario run mine.md",
		RunE: func(_ *cobra.Command, args []string) error {
			title := strings.TrimSuffix(filepath.Base(args[0]), filepath.Ext(args[0]))
			f, err := os.OpenFile(a.path(args[0]), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // a document
			if errors.Is(err, fs.ErrExist) {
				return sim.Errorf(sim.Conflict, "%s is there already", args[0]).WithHelp("name another file")
			} else if err != nil {
				return err
			}
			_, err = fmt.Fprintf(f, newScenario, strings.ReplaceAll(title, "\n", " "))
			if err = errors.Join(err, f.Close()); err != nil {
				return err
			}
			fmt.Fprintf(a.Stdout, "%s is written. Next: dpesim scenario run %[1]s\n", args[0])
			return nil
		},
	}
}
