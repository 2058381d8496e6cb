package config

import (
	"crypto/aes"
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"
)

// decrypt opens an ENCRYPTED_PASSWORD, which a Jigasi that may write its file
// leaves there: base64 of AES/ECB with PKCS#5 padding, under a key that everybody
// has (spec 2.3). 128 bit keys come from old Java machines.
func decrypt(s string) (string, error) {
	data, err := decode64(s)
	if err != nil || len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return "", errors.New("is no encrypted password")
	}
	salt := []byte{0x0c, 0x0a, 0x0f, 0x0e, 0x0b, 0x0e, 0x0e, 0x0f}
	for _, bits := range []int{256, 128} {
		key, err := pbkdf2.Key(sha1.New, " ", salt, 1024, bits/8)
		if err != nil {
			return "", err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return "", err
		}
		plain := make([]byte, len(data))
		for i := 0; i < len(data); i += aes.BlockSize {
			block.Decrypt(plain[i:], data[i:])
		}
		if text, ok := unpad(plain); ok && utf8.Valid(text) {
			return string(text), nil
		}
	}
	return "", errors.New("cannot be decrypted: write PASSWORD with the base64 of the password instead")
}

// unpad takes PKCS#5 padding off.
func unpad(b []byte) ([]byte, bool) {
	n := int(b[len(b)-1])
	if n == 0 || n > aes.BlockSize || n > len(b) {
		return nil, false
	}
	for _, c := range b[len(b)-n:] {
		if int(c) != n {
			return nil, false
		}
	}
	return b[:len(b)-n], true
}

// decode64 is base64 with or without padding, line breaks left out.
func decode64(s string) ([]byte, error) {
	s = strings.TrimRight(strings.Join(strings.Fields(s), ""), "=")
	return base64.RawStdEncoding.DecodeString(s)
}
