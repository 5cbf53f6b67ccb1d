// Package expect compares objects, as JSON has them, with what somebody expects of them: by conditions on single fields,
// as "status.replicas_connected>=2", or by a smaller object that must be contained in the other.
package expect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// operators in the order in which they are looked for at one place: the longer first.
var operators = []string{"!=", "!~", ">=", "<=", "=", "~", ">", "<"}

// Condition is what one field must be: FIELD OPERATOR VALUE without spaces around the operator.
//
//	state=connected        the field is this; of a list of plain values: they are these, with commas between
//	state!=connected       it is not
//	message~^DPE is        it matches this regular expression (RE2); !~: it does not
//	replicas>=2            it is a number, and so large; also > < <=
//
// FIELD is a path of jq without its first dot, and may go on as a jq filter: "status.differences|length>=1".
type Condition struct {
	Text  string // as it was written
	Field string // the part before the operator

	op, want string
	query    *gojq.Code
	pattern  *regexp.Regexp
	number   float64
}

// Parse reads a condition.
func Parse(text string) (Condition, error) {
	at, op := operator(text)
	if at <= 0 {
		return Condition{}, fmt.Errorf("%q is no condition: write FIELD=VALUE, with one of = != ~ !~ > >= < <=", text)
	}
	c := Condition{Text: text, Field: text[:at], op: op, want: text[at+len(op):]}
	query, err := gojq.Parse("." + strings.TrimPrefix(c.Field, "."))
	if err != nil {
		return Condition{}, fmt.Errorf("%q: the field %s is no path: %w", text, c.Field, err)
	}
	if c.query, err = gojq.Compile(query); err != nil {
		return Condition{}, fmt.Errorf("%q: the field %s is no path: %w", text, c.Field, err)
	}
	switch op {
	case "~", "!~":
		if c.pattern, err = regexp.Compile(c.want); err != nil {
			return Condition{}, fmt.Errorf("%q: %w", text, err)
		}
	case ">", ">=", "<", "<=":
		if c.number, err = strconv.ParseFloat(c.want, 64); err != nil {
			return Condition{}, fmt.Errorf("%q: %q is no number", text, c.want)
		}
	}
	return c, nil
}

// operator gives where the first operator begins that is not part of a filter, inside brackets or quotes, and which it
// is; -1 if there is none.
func operator(text string) (at int, op string) {
	depth, quoted := 0, false
	for i, r := range text {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted:
		case strings.ContainsRune("([{", r):
			depth++
		case strings.ContainsRune(")]}", r):
			depth--
		case depth == 0:
			for _, op := range operators {
				if strings.HasPrefix(text[i:], op) {
					return i, op
				}
			}
		}
	}
	return -1, ""
}

// Holds looks at an object, made of what [json.Unmarshal] makes. It gives what the field is, as a person would write it,
// and whether that is as expected. A field that is not there is "nothing". An error is one of the filter in Field.
func (c Condition) Holds(ctx context.Context, object any) (is string, holds bool, err error) {
	value, ok := c.query.RunWithContext(ctx, object).Next()
	if err, failed := value.(error); failed {
		if halt, ok := errors.AsType[*gojq.HaltError](err); ok && halt.Value() == nil {
			value = nil
		} else {
			return "", false, fmt.Errorf("looking at %s: %w", c.Field, err)
		}
	}
	if !ok || value == nil {
		// null is equal to nothing but itself, and nothing can be said of it.
		return "nothing", c.op == "=" && c.want == "null" || c.op == "!=" && c.want != "null" || c.op == "!~", nil
	}
	is = written(value)
	switch c.op {
	case "=":
		return is, c.equal(value, is), nil
	case "!=":
		return is, !c.equal(value, is), nil
	case "~":
		return is, c.pattern.MatchString(is), nil
	case "!~":
		return is, !c.pattern.MatchString(is), nil
	}
	n, err := strconv.ParseFloat(is, 64)
	if err != nil {
		return is + " (no number)", false, nil //nolint:nilerr // it is what it is
	}
	switch c.op {
	case ">":
		return is, n > c.number, nil
	case ">=":
		return is, n >= c.number, nil
	case "<":
		return is, n < c.number, nil
	}
	return is, n <= c.number, nil
}

func (c Condition) equal(value any, is string) bool {
	if is == c.want {
		return true
	}
	var want any
	return json.Unmarshal([]byte(c.want), &want) == nil && reflect.DeepEqual(plain(value), want)
}

// written is a value as a person would write it on a command line: a list of plain values with commas, other lists and
// objects as JSON.
func written(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		words := make([]string, len(v))
		for i, x := range v {
			switch x.(type) {
			case []any, map[string]any:
				return asJSON(v)
			}
			words[i] = written(x)
		}
		return strings.Join(words, ",")
	}
	return asJSON(v)
}

func asJSON(v any) string {
	text, err := gojq.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// plain gives v as [json.Unmarshal] has it: a filter may count with integers.
func plain(v any) any {
	var out any
	if json.Unmarshal([]byte(asJSON(v)), &out) != nil {
		return v
	}
	return out
}
