// What the Go of docs/verify-webhooks.md says of what was received: one answer per case.
package main

import (
	"encoding/json"
	"net/http"
	"os"
	"time"
)

type received struct {
	Headers map[string]string
	Body    []byte
	Key     string
	Now     int64
}

type answer struct {
	Webhook bool `json:"webhook"`
	JWS     bool `json:"jws"`
}

func main() {
	var cases []received
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	answers := []answer{}
	for _, each := range cases {
		headers := http.Header{}
		for name, value := range each.Headers {
			headers.Set(name, value)
		}
		answers = append(answers, answer{
			VerifyWebhook(headers, each.Body, each.Key, time.Unix(each.Now, 0)),
			VerifyJWS(headers, each.Body, each.Key),
		})
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		panic(err)
	}
}
