package portal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// decode reads one JSON value from the body into v. Unknown fields, a second value and another media type are Invalid: what
// is not understood is not silently dropped.
func decode(c echo.Context, v any) error {
	if t, _, err := mime.ParseMediaType(c.Request().Header.Get(echo.HeaderContentType)); err != nil || t != echo.MIMEApplicationJSON {
		return sim.Errorf(sim.Invalid, "the body is not declared as JSON").WithHelp("send Content-Type: application/json")
	}
	d := json.NewDecoder(c.Request().Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = errors.New("there is more after it")
		}
	}
	if tooLong(err) {
		return longer(err)
	}
	return jsonField(err, &sim.Error{Kind: sim.Invalid, Msg: "the body cannot be read: " + jsonWords(err), Help: "send one JSON object with the documented fields", Err: err})
}

// unknownField is how package encoding/json begins to tell of a field that it does not know; the name follows, quoted.
const unknownField = "json: unknown field "

// jsonField names the field in told that err, of package encoding/json, is about, if it is about one.
func jsonField(err, told error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		return api.InField(e.Field, told)
	}
	if quoted, ok := strings.CutPrefix(err.Error(), unknownField); ok {
		if name, err := strconv.Unquote(quoted); err == nil {
			return api.InField(name, told)
		}
	}
	return told
}

// tooLong tells whether err is that a body is longer than [maxBody].
func tooLong(err error) bool {
	_, is := errors.AsType[*http.MaxBytesError](err)
	return is
}

// longer tells a person so; [Portal.answerError] gives it a status of its own.
func longer(err error) error {
	return &sim.Error{Kind: sim.Invalid, Msg: fmt.Sprintf("the body is longer than %d bytes", maxBody), Help: "no request needs so much: send less", Err: err}
}

// formMedia is how a page sends a form.
const formMedia = echo.MIMEApplicationForm

// readForm has h find all that a form sent; what cannot be read whole is refused.
func readForm(h echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if t, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType)); r.ContentLength != 0 && (err != nil || t != formMedia) {
			return sim.Errorf(sim.Invalid, "the body is not declared as a form").WithHelp("send it from its page; programs use the API, below %s", api.Prefix)
		}
		err := r.ParseForm()
		switch {
		case err == nil:
			return h(c)
		case tooLong(err):
			return longer(err)
		}
		return &sim.Error{Kind: sim.Invalid, Msg: "the form cannot be read", Help: "send it again from its page", Err: err}
	}
}

// jsonWords tells a person what is wrong with the JSON, without the names of Go's types.
func jsonWords(err error) string {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("field %q cannot be a %s", e.Field, e.Value)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("it is not JSON (at byte %d)", e.Offset)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "it did not arrive in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	case strings.HasPrefix(err.Error(), unknownField):
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	return "it is not one JSON value"
}

// ok answers with JSON.
func ok(c echo.Context, v any) error { return c.JSON(http.StatusOK, v) }

// attach has the browser save the answer under a name.
func attach(c echo.Context, name string) {
	c.Response().Header().Set(echo.HeaderContentDisposition, mime.FormatMediaType("attachment", map[string]string{"filename": name}))
}
