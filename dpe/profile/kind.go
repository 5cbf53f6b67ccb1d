package profile

import (
	"strconv"
	"strings"
	"time"
)

// Type is what the values of a column are.
type Type string

// The types, narrowest first.
const (
	Integer  Type = "integer" // sign and digits, no leading zero: codes like 00123 are strings
	Decimal  Type = "decimal" // every Integer is one
	Boolean  Type = "boolean" // true, false, yes, no in any case
	Date     Type = "date"
	DateTime Type = "datetime" // every Date is one
	String   Type = "string"
)

// enough is the share of values from which on a column is of a type (our choice). Below, it is a String.
const enough = 0.9

// maxMagnitude bounds what counts as a number: the square of a larger one is none any more, and there is no deviation.
const maxMagnitude = 1e150

// maxNumber and maxTime bound the texts that are tried as numbers and as times, in bytes.
const (
	maxNumber = 64
	maxTime   = 40
)

// The layouts that are tried, each with separators that no other one has, so that the order does not matter.
var (
	dateLayouts     = []string{"2006-01-02", "2006/01/02", "1/2/2006", "2.1.2006", "Jan 2 2006", "2 Jan 2006"}
	dateTimeLayouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006/01/02 15:04:05", "2006/01/02 15:04", "1/2/2006 15:04:05", "1/2/2006 15:04"}
)

// null tells whether a text stands for no value.
func null(s string) bool {
	if len(s) > 4 {
		return false
	}
	switch strings.ToLower(s) {
	case "null", "na", "n/a", "nan", "none", "nil", `\n`:
		return true
	}
	return false
}

// number reads an integer or decimal in plain or scientific notation; not hexadecimal, infinite or grouped.
func number(s string) (v float64, t Type, ok bool) {
	if s == "" || len(s) > maxNumber {
		return 0, "", false
	}
	d := s
	if d[0] == '-' || d[0] == '+' {
		d = d[1:]
	}
	t = Integer
	digits := 0
	for i := range len(d) {
		switch c := d[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '.', c == 'e', c == 'E', (c == '-' || c == '+') && i > 0 && (d[i-1] == 'e' || d[i-1] == 'E'):
			t = Decimal
		default:
			return 0, "", false
		}
	}
	if digits == 0 || len(d) > 1 && d[0] == '0' && d[1] >= '0' && d[1] <= '9' {
		return 0, "", false
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, t, err == nil && v <= maxMagnitude && v >= -maxMagnitude
}

// boolean tells whether a text is a truth value.
func boolean(s string) bool {
	if len(s) < 2 || len(s) > 5 {
		return false
	}
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no":
		return true
	}
	return false
}

// timeReader reads dates and times and tries first the layout that fitted last.
type timeReader struct{ last string }

// read reads a date or a date with time.
func (r *timeReader) read(s string) (v time.Time, t Type, ok bool) {
	if !timeLike(s) {
		return time.Time{}, "", false
	}
	if r.last != "" {
		if v, err := time.Parse(r.last, s); err == nil {
			return v, kindOf(r.last), true
		}
	}
	for _, layouts := range [][]string{dateLayouts, dateTimeLayouts} {
		for _, l := range layouts {
			if v, err := time.Parse(l, s); err == nil {
				r.last = l
				return v, kindOf(l), true
			}
		}
	}
	return time.Time{}, "", false
}

// timeLike spares most texts the layouts: every time begins with a digit, or with the name of a month and a day, and has
// a separator among its first five characters.
func timeLike(s string) bool {
	if len(s) < len("1/2/2006") || len(s) > maxTime {
		return false
	}
	if digit(s[0]) {
		return strings.ContainsAny(s[1:5], "-/. ")
	}
	return s[3] == ' ' && digit(s[4])
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func kindOf(layout string) Type {
	if strings.Contains(layout, "15") {
		return DateTime
	}
	return Date
}
