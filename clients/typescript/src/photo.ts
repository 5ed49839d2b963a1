/** The reference photo: bytes, a file, a stream, the operator's library, or a medium of the folder. */
import { createReadStream } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { errorCode, UsageError } from "./errors.js";
import type { PhotoKind } from "./model.js";
import { PhotoTooLargeError } from "./reasons.js";
import * as wire from "./wire.js";

/** The size of a photo above which the server refuses it: 10 MiB. */
export const PHOTO_BYTES_MAX = 10 * (1 << 20);

/**
 * A photo: its bytes, a file (a string is a path), a stream of bytes that is read once, the key of a
 * photo in the operator's library, or Oz's id of a photo that the folder already holds.
 */
export type Photo =
    | Uint8Array
    | ArrayBuffer
    | Blob
    | string
    | URL
    | AsyncIterable<Uint8Array>
    | { readonly referenceKey: string }
    | { readonly folderMediaId: string };

/** Reads a photo. Errors name neither its file nor its content. */
export async function photoOf(
    photo: Photo,
    kind: PhotoKind | undefined,
): Promise<wire.ReferencePhoto> {
    const known = kind === undefined ? wire.PhotoKind.UNSPECIFIED : wire.PhotoKind[kind];
    if (known === undefined) throw new UsageError("photoKind is SELFIE or ID_FRONT");
    return create(wire.ReferencePhotoSchema, {
        source: await sourceOf(photo),
        kind: known,
    });
}

async function sourceOf(photo: Photo): Promise<wire.ReferencePhoto["source"]> {
    if (typeof photo === "object" && photo !== null) {
        if ("referenceKey" in photo) return { case: "referenceKey", value: photo.referenceKey };
        if ("folderMediaId" in photo) return { case: "folderMediaId", value: photo.folderMediaId };
    }
    return { case: "content", value: await contentOf(photo) };
}

async function contentOf(photo: Photo): Promise<Uint8Array> {
    if (photo instanceof Uint8Array) return within(photo.byteLength, () => photo);
    if (photo instanceof ArrayBuffer) return within(photo.byteLength, () => new Uint8Array(photo));
    if (photo instanceof Blob) {
        return within(photo.size, async () => new Uint8Array(await photo.arrayBuffer()));
    }
    if (typeof photo === "string" || photo instanceof URL) return readFile(photo);
    if (typeof photo === "object" && photo !== null && Symbol.asyncIterator in photo) {
        return collect(photo);
    }
    throw new UsageError("photo is bytes, a path, a stream of bytes, a key or the id of a medium");
}

async function readFile(path: string | URL): Promise<Uint8Array> {
    try {
        // One byte more than allowed, so that the rest of a larger file isn't read.
        return await collect(createReadStream(path, { end: PHOTO_BYTES_MAX }));
    } catch (error) {
        if (error instanceof PhotoTooLargeError) throw error;
        throw new UsageError(`the photo's file can't be read: ${errorCode(error)}`);
    }
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of stream) {
        if (!(part instanceof Uint8Array)) throw new UsageError("a photo's stream is of bytes");
        size += part.byteLength;
        if (size > PHOTO_BYTES_MAX) throw tooLarge();
        parts.push(part);
    }
    return Buffer.concat(parts);
}

function within<Value>(size: number, content: () => Value): Value {
    if (size > PHOTO_BYTES_MAX) throw tooLarge();
    return content();
}

function tooLarge(): PhotoTooLargeError {
    return new PhotoTooLargeError("the photo is over 10 MiB", {
        code: "INVALID_ARGUMENT",
        reason: "PHOTO_TOO_LARGE",
        matchContinues: false,
    });
}
