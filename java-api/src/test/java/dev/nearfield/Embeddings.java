// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import java.util.stream.Stream;

/**
 * Clusters in a space of falling variance, as embeddings are, so that codes leave most of them out;
 * and the answers of two indexes that hold them.
 *
 * @param offset of all, in every dimension
 */
record Embeddings(Seed seed, int dim, float offset) {
  static final int K = 10;

  /** That have codes, if this machine has them. */
  static Stream<BackendKind> backends() {
    return Stream.of(BackendKind.CPU, BackendKind.CUDA, BackendKind.WGPU);
  }

  float[][] vectors(int use, int count, Metric metric) {
    Random random = seed.random(use);
    Random centres = seed.random(-1);
    float[][] centre = new float[20][dim];
    for (float[] c : centre) {
      for (int d = 0; d < dim; d++) {
        c[d] = (float) (centres.nextGaussian() / Math.sqrt(1 + d));
      }
    }
    float[][] rows = new float[count][dim];
    for (float[] row : rows) {
      float[] around = centre[random.nextInt(centre.length)];
      double norm = 0;
      for (int d = 0; d < dim; d++) {
        row[d] = (float) (offset + around[d] + .3 * random.nextGaussian() / Math.sqrt(1 + d));
        norm += row[d] * row[d];
      }
      if (metric == Metric.POINCARE) {
        float to = (float) (random.nextDouble(.2, .95) / Math.sqrt(norm));
        for (int d = 0; d < dim; d++) {
          row[d] *= to;
        }
      }
    }
    return rows;
  }

  static SearchRequest.Builder request(float[]... queries) {
    return SearchRequest.builder().queries(VectorBatch.of(queries)).topK(K);
  }

  /** The same distances, to the last bit. */
  void assertSame(SearchResult expected, SearchResult got, String when) {
    for (int q = 0; q < expected.queryCount(); q++) {
      String where = when + ", query " + q + ", " + seed;
      assertEquals(expected.hitCount(q), got.hitCount(q), where);
      for (int i = 0; i < expected.hitCount(q); i++) {
        assertEquals(
            Float.floatToRawIntBits(expected.distance(q, i)),
            Float.floatToRawIntBits(got.distance(q, i)),
            where);
      }
    }
  }
}
