// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/preview"
	"flamenco.farm/pkg/api"
)

// The most that a body may be long, in bytes.
const (
	submissionLimit = 64 << 20
	updateLimit     = 32 << 20 // a Worker may have buffered a lot of log
	ordinaryLimit   = 1 << 20
)

// checkedByHand are the calls that Workers make all the time. The general validation takes longer than their work, so
// their handlers check the few fields themselves.
var checkedByHand = []string{
	"signOn", "signOff", "workerState", "workerStateChanged", "scheduleTask", "taskUpdate", "mayWorkerRun", "taskOutputProduced",
}

// document is the description of the API, loaded once.
type document struct {
	json       []byte
	operations map[string]*operation // by method and route
}

// operation is one operation of the API.
type operation struct {
	id         string
	bodyLimit  int64
	neverFails bool // an answer from 500 up would make Workers forget who they are or what they did
	byHand     bool
	ofWorkers  bool // programs send its texts, and would send them again for ever if they were refused
	wantsBody  bool
	wantsJSON  bool
	streams    bool // the handler reads the body, which may be of any length
	route      routers.Route
	options    *openapi3filter.Options
	meter      *meter // nil = nobody wants to know
}

func newDocument() (*document, error) {
	text, err := api.DocumentJSON()
	if err != nil {
		return nil, err
	}
	spec, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("the document of the API: %w", err)
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	options.WithCustomSchemaErrorFunc(explainSchemaError)

	doc := &document{json: text, operations: make(map[string]*operation)}
	for path, item := range spec.Paths.Map() {
		for method, op := range item.Operations() {
			doc.operations[method+" "+path] = &operation{
				id:         op.OperationID,
				bodyLimit:  bodyLimit(op.OperationID),
				neverFails: op.OperationID == "signOn" || op.OperationID == "taskUpdate",
				byHand:     slices.Contains(checkedByHand, op.OperationID),
				ofWorkers:  ofWorkers(op.OperationID),
				wantsBody:  op.RequestBody != nil,
				wantsJSON:  op.RequestBody != nil && op.RequestBody.Value.Content.Get("application/json") != nil,
				route:      routers.Route{Spec: spec, Path: path, PathItem: item, Method: method, Operation: op},
				streams:    op.OperationID == "shamanFileStore" || op.OperationID == "importFarm",
				options:    options,
			}
		}
	}
	return doc, nil
}

func bodyLimit(operationID string) int64 {
	switch operationID {
	case "submitJob", "submitJobCheck", "shamanCheckoutRequirements", "shamanCheckout":
		return submissionLimit
	case "shamanFileStore", "importFarm":
		return math.MaxInt64 // what takes the body has a limit: the size that the path names, or what the disk has room for
	case "taskUpdate":
		return updateLimit
	case "taskOutputProduced":
		return 2 * preview.MaxSize // its handler has a limit, and reads on to answer
	}
	return ordinaryLimit
}

// validate checks a request against the document and fills in defaults.
func (op *operation) validate(r *http.Request) error {
	if op.byHand {
		return op.validateByHand(r)
	}
	params := chi.RouteContext(r.Context()).URLParams
	input := &openapi3filter.RequestValidationInput{
		Request:    r,
		PathParams: make(map[string]string, len(params.Keys)),
		Route:      &op.route,
		Options:    op.options,
	}
	if op.streams {
		if err := validateStream(r); err != nil {
			return err
		}
		input.Options = &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, ExcludeRequestBody: true}
	}
	for i, key := range params.Keys {
		input.PathParams[key] = params.Values[i]
	}
	if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
		return badRequest(err)
	}
	return op.validateEnd(r)
}

// validateEnd refuses text after the JSON value of a body, which decoders pass over.
func (op *operation) validateEnd(r *http.Request) error {
	if !op.wantsJSON || r.GetBody == nil {
		return nil
	}
	body, err := r.GetBody()
	if err != nil {
		return badRequest(err)
	}
	decoder := json.NewDecoder(body)
	var text json.RawMessage
	if err := decoder.Decode(&text); err != nil {
		return badRequest(fmt.Errorf("request body has an error: %w", err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return farm.Errorf(farm.CodeInvalid, "request body has an error: text follows the JSON value")
	}
	if !op.ofWorkers {
		return refuseNUL(text)
	}
	if hasNUL(text) {
		r.Body = io.NopCloser(bytes.NewReader(replaceNUL(text)))
	}
	return nil
}

func (op *operation) validateByHand(r *http.Request) error {
	if !op.wantsBody {
		return drain(r)
	}
	if !op.wantsJSON {
		return nil // its handler knows what it takes
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || !strings.Contains(kind, "json") {
		return farm.Errorf(farm.CodeInvalid, "request body has an error: header Content-Type has unexpected value %q", r.Header.Get("Content-Type"))
	}
	return readWhole(r)
}

// readWhole refuses a body that is not one JSON value, such as one with text behind it, which decoders pass over.
func readWhole(r *http.Request) error {
	var body bytes.Buffer
	body.Grow(int(min(max(r.ContentLength, 0), readAtOnce)) + bytes.MinRead)
	if _, err := body.ReadFrom(r.Body); err != nil {
		return badRequest(err)
	}
	if !isOneObject(body.Bytes()) {
		if err := json.Unmarshal(body.Bytes(), new(json.RawMessage)); err != nil {
			return badRequest(fmt.Errorf("request body has an error: %w", err))
		}
	}
	if hasNUL(body.Bytes()) {
		r.Body = io.NopCloser(bytes.NewReader(replaceNUL(body.Bytes())))
		return nil
	}
	r.Body = io.NopCloser(&body)
	return nil
}

// readAtOnce is for how much of a body there is room at once, in bytes; for a longer one it is made as it comes.
const readAtOnce = 64 << 10

// isOneObject reports whether text is one JSON object and nothing behind it, provided that a decoder can read it: what is
// inside is not looked at, because the decoder does that.
func isOneObject(text []byte) bool {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] != '{' {
		return false
	}
	depth, i := 0, 0
	for ; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i == len(text)-1
			}
		case '"':
			n := endOfString(text[i+1:])
			if n < 0 {
				return false
			}
			i += n + 1
		}
	}
	return false
}

// endOfString is where the quotation mark is that ends a string, -1 if there is none.
func endOfString(text []byte) int {
	for from := 0; ; {
		n := bytes.IndexByte(text[from:], '"')
		if n < 0 {
			return -1
		}
		end := from + n
		escapes := 0
		for end-escapes > 0 && text[end-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return end
		}
		from = end + 1
	}
}

// validateStream checks of a body what can be known before it is read.
func validateStream(r *http.Request) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/octet-stream" {
		return farm.Errorf(farm.CodeInvalid, "request body has an error: header Content-Type has unexpected value %q", r.Header.Get("Content-Type"))
	}
	return nil
}

// explainSchemaError names the field and what is wrong with it, without printing the schema.
func explainSchemaError(err *openapi3.SchemaError) string {
	where := strings.Join(err.JSONPointer(), ".")
	var nested *openapi3.SchemaError
	if errors.As(err.Origin, &nested) {
		return nested.Reason
	}
	if where == "" {
		return err.Reason
	}
	return where + ": " + err.Reason
}
