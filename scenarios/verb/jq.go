package verb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/itchyny/gojq"
)

// The exit codes of jq, as its manual has them.
const (
	jqFalsy   = 1 // -e, and the last value was false or null
	jqUsage   = 2 // wrong usage, or input that cannot be read
	jqCompile = 3 // the filter is wrong
	jqNone    = 4 // -e, and there was no value
	jqFailed  = 5 // the filter failed on a value
)

// jqOptions is what the command line of jq says.
type jqOptions struct {
	raw, exit, compact, slurp, null, text, join bool

	filter string
	files  []string
	names  []string // of --arg and --argjson, with the $
	values []any
}

// JQ is jq, by gojq: jq [-r] [-e] [-c] [-s] [-n] [-R] [-j] [--arg NAME TEXT] [--argjson NAME JSON] FILTER [FILE...].
// Keys of objects are always sorted.
func JQ(ctx context.Context, c Call) error {
	c = c.filled()
	o, err := parseJQ(c.Args)
	if err != nil {
		return jqFail(c, jqUsage, "%v; usage: jq [-r] [-e] [-c] [-s] [-n] [-R] [-j] [--arg NAME TEXT] [--argjson NAME JSON] FILTER [FILE...]", err)
	}
	query, err := gojq.Parse(o.filter)
	if err != nil {
		return jqFail(c, jqCompile, "the filter %s is wrong: %v", o.filter, err)
	}
	in, err := jqInput(c, o)
	if err != nil {
		return jqFail(c, jqUsage, "%v", err)
	}
	code, err := gojq.Compile(query, gojq.WithVariables(o.names), gojq.WithInputIter(in),
		gojq.WithEnvironLoader(func() []string { return c.Env }))
	if err != nil {
		return jqFail(c, jqCompile, "the filter %s is wrong: %v", o.filter, err)
	}
	return jqRun(ctx, c, o, code, in)
}

var _ Verb = JQ

func jqFail(c Call, code int, format string, args ...any) error {
	fmt.Fprintf(c.Stderr, "jq: "+format+"\n", args...)
	return &ExitError{Code: code}
}

// jqRun feeds each input to the filter and prints what comes out.
func jqRun(ctx context.Context, c Call, o jqOptions, code *gojq.Code, in gojq.Iter) error {
	status, failed := jqNone, 0
	for {
		var v any
		if !o.null {
			next, ok := in.Next()
			if !ok {
				break
			}
			if err, ok := next.(error); ok {
				_ = jqFail(c, jqUsage, "%v", err)
				failed = jqUsage
				break
			}
			v = next
		}
		iter := code.RunWithContext(ctx, v, o.values...)
		for {
			out, ok := iter.Next()
			if !ok {
				break
			}
			if err, ok := out.(error); ok {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if halt, ok := errors.AsType[*gojq.HaltError](err); ok {
					return jqHalt(c, halt)
				}
				_ = jqFail(c, jqFailed, "%v", err)
				failed = jqFailed
				break
			}
			if err := jqPrint(c.Stdout, o, out); err != nil {
				return fmt.Errorf("writing the output of jq: %w", err)
			}
			status = 0
			if out == nil || out == false {
				status = jqFalsy
			}
		}
		if o.null {
			break
		}
	}
	if failed != 0 {
		return &ExitError{Code: failed}
	}
	if o.exit && status != 0 {
		return &ExitError{Code: status}
	}
	return nil
}

// jqHalt ends as halt and halt_error say.
func jqHalt(c Call, halt *gojq.HaltError) error {
	switch v := halt.Value().(type) {
	case nil:
	case string:
		fmt.Fprint(c.Stderr, v)
	default:
		if text, err := gojq.Marshal(v); err == nil {
			fmt.Fprintf(c.Stderr, "%s\n", text)
		}
	}
	if halt.ExitCode() == 0 {
		return nil
	}
	return &ExitError{Code: halt.ExitCode()}
}

func jqPrint(w io.Writer, o jqOptions, v any) error {
	end := "\n"
	if o.join {
		end = ""
	}
	if s, ok := v.(string); ok && (o.raw || o.join) {
		_, err := io.WriteString(w, s+end)
		return err
	}
	text, err := gojq.Marshal(v)
	if err != nil {
		return err
	}
	if !o.compact {
		var b bytes.Buffer
		if err := json.Indent(&b, text, "", "  "); err != nil {
			return err
		}
		text = b.Bytes()
	}
	_, err = io.WriteString(w, string(text)+end)
	return err
}
