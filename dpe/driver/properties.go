package driver

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parseProperties reads the format of java.util.Properties: name and value are separated by "=", ":" or blanks; a line
// that ends with "\" goes on in the next one; "\" escapes a character; lines that begin with "#" or "!" are comments. Of
// a name that stands twice the last value holds, as there. The text is UTF-8 (assumption). Errors name the line, and no
// value: it may be a password.
func parseProperties(text []byte) (map[string]string, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8")
	}
	props := map[string]string{}
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(text)), "\n")
	for i := 0; i < len(lines); i++ {
		line, first := blankless(lines[i]), i+1
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continued(line) && i+1 < len(lines) {
			i++
			line = line[:len(line)-1] + blankless(lines[i])
		}
		name, value := split(line)
		n, err := unescape(name)
		if err == nil {
			value, err = unescape(value)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", first, err)
		}
		props[n] = value
	}
	return props, nil
}

const blanks = " \t\f"

func blankless(line string) string { return strings.TrimLeft(line, blanks) }

// continued tells whether a line ends with an odd number of "\".
func continued(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// split cuts a line at its first separator that is not escaped.
func split(line string) (name, value string) {
	end := 0
	for end < len(line) && !strings.ContainsRune("=:"+blanks, rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	name, value = line[:end], blankless(line[end:])
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = blankless(value[1:])
	}
	return name, value
}

// unescape resolves the escapes of a name or a value.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) { // the last line of the file ends with "\"
			break
		}
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			code, err := strconv.ParseUint(s[min(i+1, len(s)):min(i+5, len(s))], 16, 16)
			if err != nil || i+5 > len(s) {
				return "", errors.New(`\u is not followed by four hexadecimal digits`)
			}
			b.WriteRune(rune(code)) // half of a surrogate pair becomes U+FFFD
			i += 4
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}
