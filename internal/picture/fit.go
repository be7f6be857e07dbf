// SPDX-License-Identifier: GPL-3.0-or-later

package picture

import (
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"

	"golang.org/x/image/draw"
)

// quality of the JPEGs, of 100.
const quality = 85

// behind is the colour that shows through a transparent picture: a neutral dark grey, as viewers of renders have it.
var behind = image.NewUniform(color.Gray{Y: 0x22})

// Fit makes a picture small enough for width × height without changing its shape. It never makes one larger. What is
// transparent becomes dark grey.
func Fit(picture image.Image, width, height int) *image.RGBA {
	from := picture.Bounds().Size()
	to := fitting(from.X, from.Y, width, height)
	// The good filter is slow on much larger pictures; a quick one brings them near.
	flat := flatten(picture, image.Point{min(from.X, 2*to.X), min(from.Y, 2*to.Y)})
	if flat.Rect.Max == to {
		return flat
	}
	fitted := image.NewRGBA(image.Rectangle{Max: to})
	draw.CatmullRom.Scale(fitted, fitted.Rect, flat, flat.Rect, draw.Src, nil)
	return fitted
}

// flatten puts a picture on the dark grey, in a size that is its own or smaller.
func flatten(picture image.Image, to image.Point) *image.RGBA {
	from := picture.Bounds()
	if flat, ok := picture.(*image.RGBA); ok && from == (image.Rectangle{Max: to}) && flat.Opaque() {
		return flat
	}
	flat := image.NewRGBA(image.Rectangle{Max: to})
	draw.Draw(flat, flat.Rect, behind, image.Point{}, draw.Src)
	if to == from.Size() {
		draw.Draw(flat, flat.Rect, picture, from.Min, draw.Over)
	} else {
		draw.ApproxBiLinear.Scale(flat, flat.Rect, picture, from, draw.Over, nil)
	}
	return flat
}

// fitting is the size of what fits, at least a pixel each way.
func fitting(w, h, width, height int) image.Point {
	switch {
	case w <= width && h <= height:
		return image.Point{w, h}
	case w*height > h*width:
		return image.Point{width, max(1, (h*width+w/2)/w)}
	}
	return image.Point{max(1, (w*height+h/2)/h), height}
}

// WriteJPEG encodes a picture.
func WriteJPEG(w io.Writer, picture image.Image) error {
	if err := jpeg.Encode(w, picture, &jpeg.Options{Quality: quality}); err != nil {
		return fmt.Errorf("encode a JPEG: %w", err)
	}
	return nil
}
