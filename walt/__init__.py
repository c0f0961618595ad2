"""W.A.L.T: from a pile of videos to a trained text-to-video model, reproducibly.

The floor plan. Imports point to lower floors only; rooms on one floor do not know each other, higher floors wire them.

====  ==============================================  ==========================================================
floor  room                                           what lives there
====  ==============================================  ==========================================================
0     ``core``                                        configuration, errors, log, paths, files here and elsewhere
1     ``media``                                       pixels and containers: video, pictures, shots (no torch)
1     ``workers``                                     processes that can be killed, Ray (no torch)
1     ``nn``                                          layers: causal convolutions, window attention, positions, AdaLN
1     ``diffusion``                                   schedule, samplers, guidance, noise: pure functions
2     ``data``                                        what later stages read: manifest, tars, datasets, sample order
2     ``autoencoder``  ``transformer``                the two models of the paper
2     ``text``  ``tracking``                          T5, MLflow
3     ``ingest``                                      source files to clips in tars (no torch)
3     ``captioning``                                  captions by a model, corrections by people
3     ``training``  ``sampling``  ``evaluation``      the loop, prompts to videos, videos to numbers
4     ``project``                                     parameters, recipes, registry of stages, how one is run
4     ``pages``                                       what HTML pages share
5     ``stages``                                      one file per stage, nothing else
6     ``commands``                                    what people call by hand, one file per command
-     ``recipes``                                     parameter files, which ``walt init`` expands to ``params.yaml``
====  ==============================================  ==========================================================

A video's way: ``stages.ingest`` -> ``stages.train_autoencoder`` -> ``stages.caption``, ``stages.encode_text``,
``stages.encode_video`` -> ``stages.train_transformer`` (base, another aspect, super-resolution twice) ->
``stages.sample`` -> ``stages.evaluate`` -> ``stages.report``.
"""
