// SPDX-License-Identifier: GPL-3.0-or-later

package picture

import (
	"bytes"
	"context"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"golang.org/x/image/tiff"
)

//go:embed testdata/*.webp
var webps embed.FS

// enough is memory for any picture.
const enough = 1 << 30

var orange = color.RGBA{0xe0, 0x80, 0x1f, 0xff}

// filled is a picture of one colour.
func filled(model color.Model, w, h int, c color.Color) image.Image {
	r := image.Rect(0, 0, w, h)
	var m interface {
		image.Image
		Set(x, y int, c color.Color)
	}
	switch model {
	case color.GrayModel:
		m = image.NewGray(r)
	case color.Gray16Model:
		m = image.NewGray16(r)
	case color.NRGBA64Model:
		m = image.NewNRGBA64(r)
	case color.NRGBAModel:
		m = image.NewNRGBA(r)
	default:
		m = image.NewRGBA(r)
	}
	for y := range h {
		for x := range w {
			m.Set(x, y, c)
		}
	}
	return m
}

func pngOf(m image.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func jpegOf(m image.Image) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func tiffOf(m image.Image, options *tiff.Options) []byte {
	var b bytes.Buffer
	if err := tiff.Encode(&b, m, options); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func webpOf(name string) []byte {
	data, err := webps.ReadFile("testdata/" + name)
	if err != nil {
		panic(err)
	}
	return data
}

func TestPicturesOfEveryKindAreDecodedAndShrunk(t *testing.T) {
	t.Parallel()
	half := color.NRGBA{0xe0, 0x80, 0x1f, 0x80}
	overDark := color.RGBA{0x81, 0x51, 0x20, 0xff}
	palette := image.NewPaletted(image.Rect(0, 0, 64, 36), color.Palette{orange, color.Transparent})
	for name, c := range map[string]struct {
		data []byte
		want color.RGBA
	}{
		"JPEG":                   {jpegOf(filled(color.RGBAModel, 64, 36, orange)), orange},
		"grey JPEG":              {jpegOf(filled(color.GrayModel, 64, 36, color.Gray{0x90})), color.RGBA{0x90, 0x90, 0x90, 0xff}},
		"PNG":                    {pngOf(filled(color.RGBAModel, 64, 36, orange)), orange},
		"PNG of 16 bits":         {pngOf(filled(color.NRGBA64Model, 64, 36, orange)), orange},
		"grey PNG of 16 bits":    {pngOf(filled(color.Gray16Model, 64, 36, color.Gray16{0x9090})), color.RGBA{0x90, 0x90, 0x90, 0xff}},
		"PNG with a palette":     {pngOf(palette), orange},
		"transparent PNG":        {pngOf(filled(color.NRGBAModel, 64, 36, half)), overDark},
		"TIFF":                   {tiffOf(filled(color.RGBAModel, 64, 36, orange), nil), orange},
		"TIFF of 16 bits":        {tiffOf(filled(color.NRGBA64Model, 64, 36, orange), &tiff.Options{Compression: tiff.Deflate}), orange},
		"transparent TIFF":       {tiffOf(filled(color.NRGBAModel, 64, 36, half), nil), overDark},
		"WebP":                   {webpOf("lossy.webp"), orange},
		"transparent WebP":       {webpOf("alpha.webp"), overDark},
		"lossless WebP":          {webpOf("lossless.webp"), overDark},
		"one colour, no surface": {pngOf(filled(color.RGBAModel, 1, 1, orange)), orange},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			decoded, err := Decode(t.Context(), c.data, enough)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{100, 40, 7} { // as it is; with the good filter; with both
				fitted := Fit(decoded, size, size)
				if !fitted.Opaque() {
					t.Error("the picture is transparent")
				}
				if b := fitted.Bounds(); b.Dx() > size || b.Dy() > size {
					t.Errorf("%v does not fit into %d", b, size)
				}
				middle := fitted.RGBAAt(fitted.Bounds().Dx()/2, fitted.Bounds().Dy()/2)
				if !near(middle, c.want) {
					t.Errorf("within %d: %v, want %v", size, middle, c.want)
				}
			}
		})
	}
}

// near allows for what encoders lose.
func near(a, b color.RGBA) bool {
	d := func(x, y uint8) bool { return max(x, y)-min(x, y) < 8 }
	return d(a.R, b.R) && d(a.G, b.G) && d(a.B, b.B)
}

func TestAPictureKeepsItsShapeAndIsNeverMadeLarger(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ w, h, wantW, wantH int }{
		{384, 216, 192, 108},
		{192, 108, 192, 108},
		{193, 108, 192, 107},
		{10, 5, 10, 5},
		{100, 400, 27, 108},
		{4096, 1716, 192, 80},
		{30000, 1, 192, 1},
		{1, 30000, 1, 108},
	} {
		got := Fit(image.NewGray(image.Rect(5, 7, 5+c.w, 7+c.h)), 192, 108).Bounds()
		if got != image.Rect(0, 0, c.wantW, c.wantH) {
			t.Errorf("%d × %d became %v, want %d × %d", c.w, c.h, got, c.wantW, c.wantH)
		}
	}
}

func TestTheSidesOfAPictureStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	m := image.NewRGBA(image.Rect(0, 0, 1000, 500))
	for y := range 500 {
		for x := range 1000 {
			m.Set(x, y, color.RGBA{uint8(x * 255 / 999), uint8(y * 255 / 499), 0, 255})
		}
	}
	small := Fit(m, 100, 100)
	for _, c := range []struct {
		x, y int
		want color.RGBA
	}{{0, 0, color.RGBA{}}, {99, 0, color.RGBA{R: 255}}, {0, 49, color.RGBA{G: 255}}, {50, 25, color.RGBA{R: 128, G: 128}}} {
		if got := small.RGBAAt(c.x, c.y); !near(got, c.want) {
			t.Errorf("at %d,%d: %v, want %v", c.x, c.y, got, c.want)
		}
	}
}

// hugePNG says that it has so many pixels, but holds none.
func hugePNG(w, h uint32, depth, colour, interlace byte) []byte {
	head := append([]byte("IHDR"), make([]byte, 13)...)
	binary.BigEndian.PutUint32(head[4:], w)
	binary.BigEndian.PutUint32(head[8:], h)
	head[12], head[13], head[16] = depth, colour, interlace
	data := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	data = append(data, head...)
	return binary.BigEndian.AppendUint32(data, crc32.ChecksumIEEE(head))
}

// hugeJPEG ends after the header that says how large it is.
func hugeJPEG(marker byte, w, h uint16) []byte {
	data := []byte{0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0, 0xff, marker, 0, 17, 8}
	data = binary.BigEndian.AppendUint16(data, h)
	data = binary.BigEndian.AppendUint16(data, w)
	return append(data, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 0xff, 0xda, 0, 12)
}

func TestAPictureThatIsTooLargeIsRefusedBeforeItIsDecoded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data   []byte
		memory int64
		want   string
	}{
		"pixels":                   {hugePNG(10001, 10000, 8, 6, 0), enough, "pixels are not between"},
		"two long sides":           {hugePNG(1<<31-1, 1<<31-1, 1, 0, 0), enough, ""},
		"bits":                     {hugePNG(10000, 10000, 16, 6, 0), 8*MaxPixels - 1, "may take"},
		"interlaced":               {hugePNG(10000, 6000, 16, 6, 1), 8 * MaxPixels, "may take"},
		"baseline JPEG":            {hugeJPEG(0xc0, 10000, 9000), 6 * MaxPixels, "may take"},
		"progressive JPEG":         {hugeJPEG(0xc2, 10000, 5000), 8 * MaxPixels, "may take"},
		"WebP behind a canvas":     {webpFrame(16383, 16383), enough, "pixels are not between"},
		"WebP with a large canvas": {webpCanvas(16384, 16384), enough, "pixels are not between"},
		"TIFF":                     {loopingTIFF(), 2*81_000_000 - 1, "may take"},
	} {
		m, err := Decode(t.Context(), c.data, c.memory)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", name, m, err, c.want)
		}
	}
	if _, err := Decode(t.Context(), hugeJPEG(0xc0, 10000, 9000), 8*MaxPixels); err == nil || strings.Contains(err.Error(), "may take") {
		t.Errorf("a baseline JPEG of 90 million pixels: %v", err)
	}
}

// webpFrame is the start of a lossy WebP.
func webpFrame(w, h uint16) []byte {
	data := []byte("RIFF\x20\x00\x00\x00WEBPVP8 \x14\x00\x00\x00\x10\x00\x00\x9d\x01\x2a")
	data = binary.LittleEndian.AppendUint16(data, w)
	data = binary.LittleEndian.AppendUint16(data, h)
	return append(data, make([]byte, 10)...)
}

// webpCanvas is the start of an extended WebP.
func webpCanvas(w, h uint32) []byte {
	data := []byte("RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00")
	for _, n := range []uint32{w - 1, h - 1} {
		data = append(data, byte(n), byte(n>>8), byte(n>>16))
	}
	return data
}

func TestWhatIsNoPictureIsRefused(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "\xff", "GIF89a", "%PDF", "RIFF1234AVI ", "v/1\x01", strings.Repeat("x", 1000)} {
		if _, err := Decode(t.Context(), []byte(data), enough); !errors.Is(err, ErrFormat) {
			t.Errorf("%.8q: %v", data, err)
		}
	}
	whole := pngOf(filled(color.RGBAModel, 64, 36, orange))
	if _, err := Decode(t.Context(), whole[:len(whole)-20], enough); err == nil {
		t.Error("half a PNG is decoded")
	}
}

func TestDecodingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("nobody wants it")
	cancel(gone)
	for _, data := range seeds() {
		if _, err := Decode(ctx, data, enough); err == nil {
			t.Errorf("%.8q is decoded", data)
		}
	}
	if _, err := Decode(ctx, pngOf(filled(color.RGBAModel, 8, 8, orange)), enough); !errors.Is(err, gone) {
		t.Error(err)
	}
}

// seeds are pictures of every kind, whole and damaged.
func seeds() [][]byte {
	photo := image.NewYCbCr(image.Rect(0, 0, 33, 17), image.YCbCrSubsampleRatio420)
	for i := range photo.Y {
		photo.Y[i] = uint8(i * 7)
	}
	whole := [][]byte{
		jpegOf(photo), jpegOf(filled(color.GrayModel, 9, 9, color.Gray{9})), pngOf(photo), pngOf(filled(color.NRGBA64Model, 5, 3, orange)),
		tiffOf(photo, nil), tiffOf(photo, &tiff.Options{Compression: tiff.Deflate, Predictor: true}),
		tiffOf(filled(color.Gray16Model, 5, 3, orange), &tiff.Options{Compression: tiff.Deflate}),
		webpOf("lossy.webp"), webpOf("lossless.webp"), webpOf("alpha.webp"),
	}
	all := whole
	for _, data := range whole {
		all = append(all, data[:len(data)/2], data[:len(data)-1])
	}
	return append(all,
		hugePNG(1<<31-1, 1<<31-1, 16, 6, 1), hugePNG(10000, 10000, 1, 0, 0), hugeJPEG(0xc2, 65535, 65535), webpFrame(16383, 16383), webpCanvas(16384, 16384),
		loopingTIFF(), []byte("GIF89a"), nil)
}

// loopingTIFF is one whose directory is its own successor, and whose strips all are the same bytes.
func loopingTIFF() []byte {
	data := []byte("II*\x00\x08\x00\x00\x00\x08\x00")
	entry := func(tag, kind uint16, count, value uint32) {
		data = binary.LittleEndian.AppendUint16(data, tag)
		data = binary.LittleEndian.AppendUint16(data, kind)
		data = binary.LittleEndian.AppendUint32(data, count)
		data = binary.LittleEndian.AppendUint32(data, value)
	}
	entry(256, 4, 1, 9000)          // width
	entry(257, 4, 1, 9000)          // height
	entry(258, 3, 1, 8)             // bits
	entry(259, 3, 1, 32773)         // PackBits
	entry(262, 3, 1, 1)             // black is zero
	entry(273, 4, 9000, 8)          // offsets of strips: the directory itself
	entry(278, 4, 1, 1)             // rows in each
	entry(279, 4, 9000, 8)          // lengths of strips
	return append(data, 8, 0, 0, 0) // next directory: this one
}

// memoryOfFuzzing keeps a round of fuzzing short.
const memoryOfFuzzing = 4 << 20

func FuzzDecode(f *testing.F) {
	for _, data := range seeds() {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(t.Context(), data, memoryOfFuzzing)
		if err != nil {
			if strings.Contains(err.Error(), "defect") {
				t.Fatal(err)
			}
			return
		}
		if pixels := m.Bounds().Dx() * m.Bounds().Dy(); pixels <= 0 || pixels > memoryOfFuzzing {
			t.Fatalf("%v has %d pixels", m.Bounds(), pixels)
		}
		fitted := Fit(m, 60, 34)
		if b := fitted.Bounds(); b.Empty() || b.Dx() > 60 || b.Dy() > 34 || !fitted.Opaque() {
			t.Fatalf("%v became %v", m.Bounds(), b)
		}
		if err := WriteJPEG(new(bytes.Buffer), fitted); err != nil {
			t.Fatal(err)
		}
	})
}

// BenchmarkAFrameOf4K is what one picture costs a Manager: decoding and three JPEGs.
func BenchmarkAFrameOf4K(b *testing.B) {
	m := image.NewNRGBA(image.Rect(0, 0, 3840, 2160))
	deep := image.NewNRGBA64(m.Bounds())
	state := uint32(1)
	for i := range m.Pix { // smooth with some noise, as a render is
		state = state*1664525 + 1013904223
		m.Pix[i] = uint8(i/15360+i/64) + uint8(state>>29)
		if i%4 == 3 {
			m.Pix[i] = 255
		}
		deep.Pix[2*i], deep.Pix[2*i+1] = m.Pix[i], uint8(state>>16)
	}
	for _, c := range []struct {
		name string
		data []byte
	}{{"PNG", pngOf(m)}, {"PNG16", pngOf(deep)}, {"JPEG", jpegOf(m)}, {"TIFF", tiffOf(m, nil)}, {"FullHD", jpegOf(Fit(m, 1920, 1080))}} {
		b.Run(fmt.Sprintf("%s of %d MB", c.name, len(c.data)/1e6), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var last image.Image
				last, err := Decode(b.Context(), c.data, enough)
				if err != nil {
					b.Fatal(err)
				}
				for _, size := range []image.Point{{1920, 1080}, {600, 338}, {200, 112}} {
					last = Fit(last, size.X, size.Y)
					if err := WriteJPEG(new(bytes.Buffer), last); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
