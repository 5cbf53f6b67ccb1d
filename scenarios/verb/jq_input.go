package verb

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/itchyny/gojq"
)

// parseJQ reads the command line. Short flags may be joined: -rc.
func parseJQ(args []string) (jqOptions, error) {
	var o jqOptions
	long := map[string]byte{
		"--raw-output": 'r', "--exit-status": 'e', "--compact-output": 'c', "--slurp": 's', "--null-input": 'n',
		"--raw-input": 'R', "--join-output": 'j',
	}
	flags := map[byte]*bool{'r': &o.raw, 'e': &o.exit, 'c': &o.compact, 's': &o.slurp, 'n': &o.null, 'R': &o.text, 'j': &o.join}
	var words []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			words, args = append(words, args...), nil
		case arg == "--arg" || arg == "--argjson":
			if len(args) < 2 {
				return o, fmt.Errorf("%s needs a name and a value", arg)
			}
			var v any = args[1]
			if arg == "--argjson" {
				var err error
				if v, err = decodeOne(args[1]); err != nil {
					return o, fmt.Errorf("--argjson %s: %w", args[0], err)
				}
			}
			o.names, o.values = append(o.names, "$"+args[0]), append(o.values, v)
			args = args[2:]
		case strings.HasPrefix(arg, "--"):
			f, ok := long[arg]
			if !ok {
				return o, fmt.Errorf("this jq does not know the option %s", arg)
			}
			*flags[f] = true
		case len(arg) > 1 && arg[0] == '-':
			for _, f := range []byte(arg[1:]) {
				if flags[f] == nil {
					return o, fmt.Errorf("this jq does not know the option -%c", f)
				}
				*flags[f] = true
			}
		default:
			words = append(words, arg)
		}
	}
	if len(words) == 0 {
		return o, errors.New("a filter is missing")
	}
	o.filter, o.files = words[0], words[1:]
	return o, nil
}

func decodeOne(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

// jqInput gives the values of the files, or of stdin if there are none, one by one as they are read.
func jqInput(c Call, o jqOptions) (gojq.Iter, error) {
	var in gojq.Iter
	if len(o.files) == 0 {
		in = reading("stdin", c.Stdin, o)
	} else {
		var all []gojq.Iter
		for _, name := range o.files {
			path := name
			if !filepath.IsAbs(path) {
				path = filepath.Join(c.Dir, path)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("cannot read %s: %w", name, err)
			}
			all = append(all, reading(name, strings.NewReader(string(text)), o))
		}
		in = iter(func() (any, bool) {
			for len(all) > 0 {
				if v, ok := all[0].Next(); ok {
					return v, true
				}
				all = all[1:]
			}
			return nil, false
		})
	}
	if o.slurp {
		return slurped(in, o.text), nil
	}
	return in, nil
}

// iter makes a function an iterator.
type iter func() (any, bool)

// Next gives the next value; false: there is none.
func (f iter) Next() (any, bool) { return f() }

// reading gives the JSON values, or with -R the lines, of r. An error is a value, and the last one.
func reading(name string, r io.Reader, o jqOptions) gojq.Iter {
	done := false
	if o.text && o.slurp {
		return iter(func() (any, bool) {
			if done {
				return nil, false
			}
			done = true
			text, err := io.ReadAll(r)
			if err != nil {
				return fmt.Errorf("cannot read %s: %w", name, err), true
			}
			return string(text), true
		})
	}
	if o.text {
		lines := bufio.NewReader(r)
		return iter(func() (any, bool) {
			if done {
				return nil, false
			}
			line, err := lines.ReadString('\n')
			if err != nil {
				done = true
				if !errors.Is(err, io.EOF) {
					return fmt.Errorf("cannot read %s: %w", name, err), true
				}
				if line == "" {
					return nil, false
				}
			}
			return strings.TrimSuffix(line, "\n"), true
		})
	}
	d := json.NewDecoder(r)
	d.UseNumber()
	return iter(func() (any, bool) {
		if done {
			return nil, false
		}
		var v any
		if err := d.Decode(&v); err != nil {
			done = true
			if errors.Is(err, io.EOF) {
				return nil, false
			}
			return fmt.Errorf("%s is not JSON: %w", name, err), true
		}
		return v, true
	})
}

// slurped joins all values into one: an array, or one string for text.
func slurped(in gojq.Iter, text bool) gojq.Iter {
	done := false
	return iter(func() (any, bool) {
		if done {
			return nil, false
		}
		done = true
		var joined strings.Builder
		all := []any{}
		for {
			v, ok := in.Next()
			if !ok {
				break
			}
			if err, ok := v.(error); ok {
				return err, true
			}
			if s, ok := v.(string); ok && text {
				joined.WriteString(s)
			}
			all = append(all, v)
		}
		if text {
			return joined.String(), true
		}
		return all, true
	})
}
