package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed asset
var assetFiles embed.FS

// asset is a file that pages load.
type asset struct {
	plain, packed []byte // packed: by gzip
	version       string // of the content
}

// assets reads and packs all of them, once.
var assets = sync.OnceValues(func() (map[string]asset, error) {
	out := map[string]asset{}
	err := fs.WalkDir(assetFiles, "asset", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := assetFiles.ReadFile(name)
		if err != nil {
			return err
		}
		packed, err := Pack(b, gzip.BestCompression)
		out[strings.TrimPrefix(name, "asset/")] = asset{b, packed, fmt.Sprintf("%x", sha256.Sum256(b))[:16]}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read assets: %w", err)
	}
	return out, nil
})

// Pack compresses what is sent by gzip, at a level of package compress/gzip.
func Pack(b []byte, level int) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, level)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Unpacks tells whether the caller of r takes an answer that is packed by gzip (RFC 9110, section 12.5.3).
func Unpacks(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, weight, weighted := strings.Cut(strings.ToLower(strings.TrimSpace(part)), ";")
		if c := strings.TrimSpace(coding); c != "gzip" && c != "*" {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
		return !weighted || err == nil && q > 0
	}
	return false
}

// assetLink gives the address of an asset. It names the content, so that a browser need not ask again for what it has.
func assetLink(name string) (string, error) {
	all, err := assets()
	if err != nil {
		return "", err
	}
	a, there := all[name]
	if !there {
		return "", fmt.Errorf("there is no asset %s", name)
	}
	return "/assets/" + name + "?v=" + a.version, nil
}

// Assets serves style sheet, scripts and icon below /assets/. An address that names the content (?v=) is good for ever;
// without it browsers ask each time, so that a new dpesim is never shown with the old one's style.
func Assets() http.Handler {
	return http.StripPrefix("/assets/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all, err := assets()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		a, there := all[strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")]
		if !there {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "no-cache")
		if r.URL.Query().Get("v") == a.version {
			h.Set("Cache-Control", "public, max-age=31536000, immutable") // a year
		}
		h.Set("Vary", "Accept-Encoding")
		content, tag := a.plain, a.version
		if Unpacks(r) && len(a.packed) < len(a.plain) {
			content, tag = a.packed, tag+"-gzip"
			h.Set("Content-Encoding", "gzip")
		}
		h.Set("ETag", `"`+tag+`"`)
		http.ServeContent(w, r, path.Base(r.URL.Path), time.Time{}, bytes.NewReader(content))
	}))
}

// Style gives the style sheet of all pages, for one that stands alone in a file.
func Style() (string, error) {
	b, err := assetFiles.ReadFile("asset/style.css")
	return string(b), err
}
