package dev.facematch;

import com.google.protobuf.ByteString;
import dev.facematch.errors.ErrorDetails;
import dev.facematch.errors.PhotoTooLargeException;
import dev.facematch.errors.UsageException;
import dev.facematch.v1.ReferencePhoto;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** Makes reference photos. Exceptions name neither a file nor its content. */
public final class Photos {
    /** The size of a photo, in bytes, above which the server refuses it: 10 MiB. */
    public static final int BYTES_MAX = 10 << 20;

    private Photos() {}

    /** A photo from its bytes, which are copied. */
    public static ReferencePhoto bytes(byte[] content) {
        return of(ByteString.copyFrom(checked(content)));
    }

    /** A photo from a file, which is read at once. */
    public static ReferencePhoto file(Path path) {
        try (InputStream stream = Files.newInputStream(path)) {
            return read(stream);
        } catch (IOException e) {
            throw new UsageException("the photo's file can't be read: " + e.getClass().getSimpleName());
        }
    }

    /** A photo from a stream, which is read to its end and stays open. */
    public static ReferencePhoto read(InputStream stream) throws IOException {
        // One byte more than allowed: the rest of a larger file isn't read.
        return bytes(stream.readNBytes(BYTES_MAX + 1));
    }

    /** A photo of the operator's library, by its key. */
    public static ReferencePhoto library(String referenceKey) {
        return ReferencePhoto.newBuilder().setReferenceKey(referenceKey).build();
    }

    /** A photo that the folder at Oz already holds, by Oz's id. */
    public static ReferencePhoto inFolder(String mediaId) {
        return ReferencePhoto.newBuilder().setFolderMediaId(mediaId).build();
    }

    /** Refuses a photo that the server would refuse for its size. */
    static void check(ReferencePhoto photo) {
        if (photo.getContent().size() > BYTES_MAX) {
            throw tooLarge();
        }
    }

    private static ReferencePhoto of(ByteString content) {
        return ReferencePhoto.newBuilder().setContent(content).build();
    }

    private static byte[] checked(byte[] content) {
        if (content.length > BYTES_MAX) {
            throw tooLarge();
        }
        return content;
    }

    private static PhotoTooLargeException tooLarge() {
        return new PhotoTooLargeException("the photo is over 10 MiB", ErrorDetails.NONE
                .withCode("INVALID_ARGUMENT", "PHOTO_TOO_LARGE").about(null, null, false));
    }
}
