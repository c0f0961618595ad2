"""W.A.L.T: from a pile of videos to a trained text-to-video model, reproducibly.

The floor plan. Imports point to lower floors only; rooms on one floor do not know each other, the stages wire them.

====  ==============================================  ==========================================================
floor  room                                           what lives there
====  ==============================================  ==========================================================
0     ``core``                                        configuration, paths, storage, manifests, video, processes,
                                                      progress, errors (no torch)
1     ``nn``                                          layers: causal convolutions, window attention, positions, AdaLN
1     ``diffusion``                                   schedule, objective, samplers, guidance: pure functions
2     ``autoencoder``  ``transformer``                the two models of the paper
2     ``text``  ``data``  ``tracking``                T5, shards and sample order, MLflow
3     ``training``  ``sampling``  ``evaluation``      the loop, prompts to videos, videos to numbers
4     ``stages``                                      one file a stage, and the registry that declares them
-     ``recipes``                                     parameter files: copy one to ``params.yaml`` with ``walt init``
====  ==============================================  ==========================================================

A video's way: ``stages.ingest`` -> ``stages.train_autoencoder`` -> ``stages.encode_text``, ``stages.encode_video`` ->
``stages.train_base`` -> ``stages.finetune_aspect`` -> ``stages.train_sr_2x`` -> ``stages.train_sr_4x`` ->
``stages.sample`` -> ``stages.evaluate`` -> ``stages.report``.
"""
